"""Names of the public API in the text of pages link to their reference, the first time in each section."""

from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

import spquant_snn
import spquant_snn.data
import spquant_snn.plot


def places() -> dict[str, str]:
    """For each name as text may have it what it is in full."""
    found = {name: f"spquant_snn.{name}" for name in spquant_snn.__all__ if name != "InputFormat"}
    for name in spquant_snn.data.__all__:
        found[f"data.{name}"] = f"spquant_snn.data.{name}"
        found.setdefault(name, found[f"data.{name}"])  # but "load", which is that of files
    return found | {f"plot.{name}": f"spquant_snn.plot.{name}" for name in spquant_snn.plot.__all__}


class PublicNames(SphinxTransform):
    """Makes links of them."""

    default_priority = 700

    def apply(self, **options: object) -> None:
        known = places()
        for section in list(self.document.findall(nodes.section)):
            seen: set[str] = set()
            for literal in list(_own_literals(section)):
                text = literal.astext()
                name = text.split("(")[0].removeprefix("spquant_snn.")
                if name in known and name not in seen:
                    seen.add(name)
                    link = pending_xref(
                        "", refdomain="py", reftype="obj", reftarget=known[name], refexplicit=True, refwarn=True
                    )
                    link["refdoc"] = self.env.docname
                    literal.replace_self(link)
                    link += literal


def _own_literals(section: nodes.section) -> Iterator[nodes.literal]:
    """Literals of a section and not of sections inside it, outside headings and links."""
    for literal in section.findall(nodes.literal):
        above = literal.parent
        while not isinstance(above, nodes.section | nodes.title | nodes.reference | pending_xref):
            if above.tagname.startswith("desc_signature"):
                break
            above = above.parent
        if above is section:
            yield literal


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
