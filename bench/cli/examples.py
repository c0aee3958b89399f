"""What --help shows at its end: commands that work, and what a newcomer asks next."""

RUN = """\
examples:
  python -m bench run --methods plain,at --eval all
  python -m bench run --dataset mnist --data DIR --arch cnn --methods at --epochs 20 --seeds 0,1,2
  python -m bench run --methods at --norm l2 --eps 0.3 --set at.steps=10 --set pgd.restarts=5
  python -m bench run --methods plain,my_defense --plugin my_defense.py

Data sets, architectures, norms, eps and seeds may be lists (mnist,gts): all are crossed.
Run it again and nothing is computed twice; interrupt it and it goes on where it stopped."""

TUNE = """\
examples:
  python -m bench tune --method mmr --grid weight=0.1,0.5,1 --grid gamma=0.15,0.2
  python -m bench tune --method at --norm l2 --grid steps=10,40 --grid train.lr=1e-3,1e-4

Every combination is trained without the held-out images and judged on them; the smallest robust
error <= decides. The test set is never used. In gts whole tracks (images of one and the same sign)
are held out; where other data have such, held-out images are easier than test images."""

FRONT = """\
examples:
  python -m bench front --methods ibp,sabr,mmr_at,kw --dataset mnist --data DIR --arch cnn
  python -m bench front --methods mtl_ibp --range mtl_ibp.alpha=0.01:1 --trials 8 --seeds 0,1,2

Trials are proposed by what earlier ones found on held-out images; those that no other beats in both
clean and robust error are judged on the test set, which chooses nothing. Run it again, with more
trials if you like, and it goes on."""

EVAL = """\
example:
  python -m bench eval model.safetensors --arch cnn --dataset mnist --data DIR --points 10000"""

COMPARE = """\
examples:
  python -m bench compare run
  python -m bench compare run-a run-b

Both methods of a pair are judged on the same inputs; train several seeds of each, as a comparison
of single networks says nothing of how much another training would differ."""

LEADERBOARD = """\
examples:
  python -m bench leaderboard run
  python -m bench leaderboard run-a run-b --out both
  python -m bench leaderboard run --format latex > table.tex"""

PAGE = """\
examples:
  python -m bench page run
  python -m bench page run-a run-b --out both.html
  python -m bench page runs

One file that needs no network and no server. A folder of run folders becomes an index, beside a
page in each of them. Pictures need the data sets; it needs the extra `page`."""

RATIOS = """\
examples:
  python -m bench run --suite figure4 --data DIR --out f4 && python -m bench ratios f4 --eval cw
  python -m bench ratios run

Where a certificate and a witness agree on an input's radius, it shows how much farther each
attack's own witness is; all ratios, sorted, are written to ratios.csv and drawn in ratios.svg."""

FIGURES = """\
examples:
  python -m bench figures run
  python -m bench figures run --only regions,gradients --method plain,mmr --input 3,7,12
  python -m bench run --suite figure3_small --out f3 && python -m bench figures f3 --only figure3
  python -m bench figures --only toy --out toy

Each figure becomes NAME.svg and NAME.pdf; where a run has several data sets, architectures or
threats, each has its own. It needs the extra `figures`."""

SHOW = """\
examples:
  python -m bench show run --method mmr --input 17
  python -m bench show run --method mmr --seed 0 --input 17 --json

The pictures, input, adversarial input and difference side by side, become RUN/inputs/NAME.png."""

EXPORT = """\
examples:
  python -m bench export run --out models
  python -m bench export run --only method=mmr --questions 20 --out mmr

Each network becomes NAME.onnx, compared with onnxruntime, and a model card NAME.md; each question
becomes NAME_INDEX.vnnlib, for any verifier that reads VNN-LIB 1.0. It needs the extra `onnx`."""

STATUS = "example:\n  python -m bench status run"

LIST = "examples:\n  python -m bench list\n  python -m bench list mmr"

CLEAN = """\
examples:
  python -m bench clean run
  python -m bench clean run --remove

Networks, predictions and evidence of commands that came before the latest, and that it does not
rest on. Verdicts on lists of properties stay."""
