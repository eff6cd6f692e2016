"""What the server and the framework cost: reads the request and answers with a constant."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = b'{"customer_id":"C-000123","probability":0.27,"decision":1}'


async def constant(request: Request) -> Response:
    """Answer."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


app = Starlette(
    routes=[
        Route("/v1/predictions", constant, methods=["POST"]),
        Route("/v1/predictions/batch", constant, methods=["POST"]),
    ]
)
