"""python -m sender URL"""

import typer

from sender.command import send
from talkcodec.command.exits import run_app

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(send)

if __name__ == "__main__":
    run_app(app)
