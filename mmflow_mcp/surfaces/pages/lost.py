"""What a browser is shown where nothing is."""

from mmflow_mcp.surfaces.pages.element import Html, tag
from mmflow_mcp.surfaces.pages.page import Site, page


def lost(site: Site) -> Html:
    """The page of a path that is none."""
    links = {"/": "how to connect", "/docs": "every endpoint", "/status": "the venues' health"}
    main = [
        tag("h1", "Nothing is here"),
        tag("ul", [tag("li", tag("a", to, href=to), f": {said}") for to, said in links.items()]),
    ]
    return page(site, path="", title="Nothing is here", about="No such page.", main=main)
