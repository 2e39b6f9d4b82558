# SPDX-License-Identifier: GPL-2.0
"""What Sphinx makes of Documentation/, see 'make htmldocs'."""

import pathlib

from docutils import nodes
from sphinx.util import logging

project = "rust_loopback"
copyright = "the rust_loopback developers, GPL-2.0"  # Sphinx's name for it
extensions = ["sphinx.ext.graphviz"]
root_doc = "index"

graphviz_output_format = "svg"
html_theme = "alabaster"
html_theme_options = {
    "description": "More than one loopback for Linux",
    "fixed_sidebar": True,
    "page_width": "1100px",
    "sidebar_width": "240px",
}
html_copy_source = False
html_show_sphinx = False


def resolve_links(app, doctree, docname):
    """Turns links to files into links to pages.

    A link such as `design <design.rst>`_ works where the sources are read. A file outside of this
    folder has a page if one includes it.
    """
    source_dir = pathlib.Path(app.srcdir)
    included = {
        (source_dir / file).resolve(): page
        for page, files in app.env.dependencies.items()
        for file in files
    }
    for link in doctree.findall(nodes.reference):
        file, _, anchor = link.get("refuri", "").partition("#")
        if link.get("internal") or not file or "://" in file:
            continue
        block = link
        while block.source is None:
            block = block.parent
        path = (pathlib.Path(block.source).parent / file).resolve()
        page = app.env.path2doc(str(path))
        if page not in app.env.found_docs:
            page = included.get(path)
        if page is None:
            logging.getLogger(__name__).warning("no page has %s", file, location=link)
            continue
        uri = app.builder.get_relative_uri(docname, page)
        link["refuri"] = f"{uri}#{anchor}" if anchor else uri


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-resolved", resolve_links)
