"""Projects that download code while a build runs: no lock can contain what they download.

Found in their code: puccinialin 0.1.14, nodeenv 1.12.0, hatch-jupyter-builder 0.10.0, jupyter-packaging 0.12.3,
setuptools-npm 0.3, setuptools-golang 2.9.0, setuptools-download 1.1.0, hatch-openzim 0.3.0. Wheels that ship their tool
(cmake, ninja, ziglang) are not listed, nor are those that only run cargo: ``cargo-lock`` records its crates.
"""

from collections.abc import Mapping

DOWNLOADERS: Mapping[str, str] = {
    "puccinialin": "downloads a Rust toolchain when it runs",
    "nodeenv": "downloads Node.js when it runs",
    "hatch-jupyter-builder": "runs npm, which downloads JavaScript packages",
    "jupyter-packaging": "runs npm, which downloads JavaScript packages",
    "setuptools-npm": "runs npm, which downloads JavaScript packages",
    "setuptools-golang": "runs go get, which downloads Go modules",
    "setuptools-download": "downloads the files that setup.cfg names",
    "hatch-openzim": "downloads the files that openzim.toml names",
}
"""By name: what it does."""
