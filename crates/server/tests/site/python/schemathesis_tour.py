"""Makes requests with the PyPI package `schemathesis`, which checks each response against the description
of the API. Each line of standard input is a JSON object: an operation, its parameters, an access token,
and the checks that are not made. For each there is a line on standard output: the status, the JSON of the
body, and how the response differs from the description.

Argument: the URL of the API
"""

import json
import re
import sys

import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

api = sys.argv[1]
load_all_checks()
schema = schemathesis.openapi.from_url(f"{api}/openapi.json")


def in_query(value):
    return str(value).lower() if isinstance(value, bool) else value


def answer(request):
    operation = schema.find_operation_by_id(request["operation"].replace(".", "_"))
    params = request["params"]
    names = re.findall(r"\{(\w+)\}", operation.path)
    others = {name: value for name, value in params.items() if name not in names}
    parts = {"path_parameters": {name: params[name] for name in names}}
    if operation.body:
        parts |= {"body": others, "media_type": "application/json"}
    else:
        parts["query"] = {name: in_query(value) for name, value in others.items()}
    case = operation.Case(**parts)
    headers = {"Authorization": f"Bearer {request['token']}"}
    response = case.call(base_url=api, headers=headers)
    problem = None
    try:
        unchecked = CHECKS.get_by_names(request["unchecked"])
        case.validate_response(response, headers=headers, excluded_checks=unchecked)
    except FailureGroup as failures:
        problem = "\n".join(str(failure) for failure in failures.exceptions)
    is_json = response.headers["content-type"][0].startswith("application/json")
    body = response.json() if is_json else None
    return {"status": response.status_code, "body": body, "problem": problem}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
