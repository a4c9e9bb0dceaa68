"""mmflow-mcp: cross-venue crypto market data as tools for language models."""

__version__ = "0.1.0"
