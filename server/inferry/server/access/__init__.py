"""Who may call: the secret, tokens, signed callback URLs."""
