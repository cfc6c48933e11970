"""python -m receiver"""

import typer

from receiver.command import receive
from talkcodec.command.exits import run_app

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(receive)

if __name__ == "__main__":
    run_app(app)
