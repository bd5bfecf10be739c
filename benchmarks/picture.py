"""Draw the trade of accuracy for speed of a finished run as a PNG: the picture in the README.

    python benchmarks/picture.py examples/fashion_mnist/recipe.toml out/fashion docs/images/pareto.png

Goes through the run with ``resume``, so that nothing is done again and every figure comes from the run itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import sardonyx as sx
from sardonyx.pipeline.report import pareto_png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path, help="the folder that `sardonyx run` filled")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    recipe = sx.read_recipe(arguments.recipe)
    result = sx.run_recipe(recipe, arguments.run, base=arguments.recipe.absolute().parent, resume=True)
    arguments.picture.write_bytes(pareto_png(result.report))
    print(f"wrote {arguments.picture}")


if __name__ == "__main__":
    main()
