"""The charts as MCP Apps: resources that a host shows beside the answers of certain tools."""

from collections.abc import Collection
from functools import partial

from mcp.server.apps import APP_MIME_TYPE, Apps, ResourceCsp
from mcp.server.mcpserver.resources import FunctionResource

from mmflow_mcp.surfaces.charts import CHARTS, page, uri_of


def chart_pages(offered: Collection[str]) -> Apps:
    """The pages of the tools that are offered; each is put together when it is read.

    The empty domains say that a page asks for nothing beyond itself.
    """
    apps = Apps()
    nothing = ResourceCsp(
        connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[]
    )
    ui = {"csp": nothing.model_dump(by_alias=True), "prefersBorder": True}
    for name, chart in CHARTS.items():
        if any(tool in offered for tool in chart.tools):
            apps.add_resource(
                FunctionResource(
                    uri=uri_of(name),
                    name=f"chart-{name}",
                    title=chart.title,
                    description=chart.description,
                    mime_type=APP_MIME_TYPE,
                    meta={"ui": ui},
                    fn=partial(page, name),
                )
            )
    return apps
