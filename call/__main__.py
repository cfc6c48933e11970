"""python -m call [LINK]"""

from call.command import call
from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app

app = new_app()
app.command()(call)

if __name__ == "__main__":
    run_app(app)
