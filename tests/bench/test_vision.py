import subprocess
import sys


def test_torchvision_imports_beside_any_torch_and_twice() -> None:
    code = "from bench import vision; vision.datasets(); print(vision.datasets().MNIST.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "MNIST", done.stderr
