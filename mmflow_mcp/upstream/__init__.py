"""How bytes reach us: every file a transport, or what one is made of."""
