import subprocess
import sys


def test_torchvision_imports_beside_any_torch_and_twice() -> None:
    code = (
        "from bench.data.sources import torchvision_datasets; "
        "print(torchvision_datasets().MNIST.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "MNIST", done.stderr
