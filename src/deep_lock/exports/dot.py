"""The layers of a lock as a graph for Graphviz."""

from deep_lock.exports.view import Exported, View, installed


def graph(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as one directed graph."""
    lines = [f'  "{own.entry.name} {own.entry.version or ""}"' for own in installed(view)]
    return Exported(
        files=(("deep-lock.dot", "\n".join(["digraph {", *lines, "}", ""])),), usage="dot -Tsvg deep-lock.dot"
    )
