"""Networks from and to folders and the Hugging Face Hub."""

__all__: list[str] = []
