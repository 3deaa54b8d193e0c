"""The page of a Space on Hugging Face; on a machine of your own `csl-plugin app` serves the same."""

from csl_plugin.app import build_app, launch

app = build_app()

if __name__ == "__main__":
    launch(app, host="0.0.0.0")  # noqa: S104 - a Space is reached through its proxy
