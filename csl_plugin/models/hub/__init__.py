"""Networks from and to folders and the Hugging Face Hub."""
