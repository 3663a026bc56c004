"""Several gateways on one store: who looks after which server, and what they tell each other."""
