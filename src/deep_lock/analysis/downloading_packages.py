"""Projects that download code while a build runs: no lock can contain what they download.

Found in their code: puccinialin 0.1.14, nodeenv 1.12.0, hatch-jupyter-builder 0.10.0, jupyter-packaging 0.12.3,
setuptools-npm 0.3, setuptools-golang 2.9.0, setuptools-download 1.1.0, hatch-openzim 0.3.0. Wheels that ship their tool
(cmake, ninja, ziglang) are not listed, nor are those that only run cargo: ``cargo-lock`` records its crates.
"""

from collections.abc import Mapping

DOWNLOADERS: Mapping[str, str] = {
    "puccinialin": "fetches a Rust tool chain when it runs",
    "nodeenv": "fetches Node.js when it runs",
    "hatch-jupyter-builder": "runs npm, which fetches packages of JavaScript",
    "jupyter-packaging": "runs npm, which fetches packages of JavaScript",
    "setuptools-npm": "runs npm, which fetches packages of JavaScript",
    "setuptools-golang": "runs go get, which fetches modules of Go",
    "setuptools-download": "fetches the files that setup.cfg names",
    "hatch-openzim": "fetches the files that openzim.toml names",
}
"""By name: what it does."""
