"""Personal values made unreadable before they reach a disk: tokens, ciphertexts, masks. Knows no source, no store."""
