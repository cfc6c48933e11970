"""python -m receiver"""

from receiver.command import receive
from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app

app = new_app()
app.command()(receive)

if __name__ == "__main__":
    run_app(app)
