"""python -m sender URL"""

from sender.command import send
from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app

app = new_app()
app.command()(send)

if __name__ == "__main__":
    run_app(app)
