"""python -m call [LINK]"""

import typer

from call.command import call
from talkcodec.command.exits import run_app

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(call)

if __name__ == "__main__":
    run_app(app)
