"""What a network is compared with, and how."""
