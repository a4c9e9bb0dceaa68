"""The endpoints, one file per family; `declare.endpoints()` finds them by path."""
