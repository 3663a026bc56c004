"""How attempts reach servers: a folder for each transport, all to ``engine.carrier``."""
