from dataclasses import asdict, dataclass
from http import HTTPStatus

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, CORSConfig, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.router import Router
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="todos", level="INFO")
metrics = Metrics(namespace="Shop", service="todos")
cors = CORSConfig(allow_origin="https://shop.example.com", max_age=300)
app = APIGatewayHttpResolver(cors=cors, strip_prefixes=["/v1"])
admin = Router()


@dataclass
class Todo:
    id: str
    title: str
    done: bool = False


TODOS = {"1": Todo("1", "water the plants"), "2": Todo("2", "buy ☕", True)}


class OutOfMilk(Exception):
    ...


def audit(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response:
    logger.append_keys(user=app.current_event.headers.get("x-user", "anonymous"))
    response = next_middleware(app)
    response.headers["x-audited"] = app.context.get("auditor", "nobody")
    return response


@app.get("/todos")
def todos():
    done = app.current_event.get_query_string_value("done")
    metrics.add_metric(name="Listed", unit=MetricUnit.Count, value=len(TODOS))
    return {"todos": [asdict(t) for t in TODOS.values() if done is None or t.done == (done == "true")]}


@app.get("/todos/<todo_id>", compress=False, cache_control="max-age=60")
def todo(todo_id: str):
    logger.info("looking", extra={"todo": todo_id})
    try:
        return asdict(TODOS[todo_id])
    except KeyError:
        raise NotFoundError(f"no todo {todo_id}") from None


@app.post("/todos", middlewares=[audit])
def create():
    body = app.current_event.json_body
    if not body.get("title"):
        raise BadRequestError("a title is needed")
    todo = Todo(str(len(TODOS) + 1), body["title"])
    app.append_context(auditor="aud-1")
    return Response(HTTPStatus.CREATED.value, content_types.APPLICATION_JSON, {"id": todo.id}, headers={"location": f"/todos/{todo.id}"})


@app.route("/todos/<todo_id>/<action>", method=["PUT", "PATCH"])
def act(todo_id, action):
    if action == "milk":
        raise OutOfMilk(todo_id)
    return {"id": todo_id, "action": action}, HTTPStatus.ACCEPTED


@admin.get("/stats")
def stats():
    return Response(status_code=200, content_type=content_types.TEXT_HTML, body=f"<b>{len(TODOS)}</b>")


@app.exception_handler(OutOfMilk)
def no_milk(error: OutOfMilk):
    logger.exception("no milk")
    return Response(status_code=418, content_type=content_types.TEXT_PLAIN, body=f"no milk for {error}")


@app.not_found
def nothing(error: NotFoundError):
    return Response(status_code=404, content_type=content_types.APPLICATION_JSON, body={"nothing": app.current_event.path})


app.include_router(admin, prefix="/admin")


@metrics.log_metrics
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
def handler(event: dict, context: LambdaContext) -> dict:
    return app.resolve(event, context)
