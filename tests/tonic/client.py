"""A gRPC client that shares no code with the server: Google's own core, by Python.

    client.py ADDRESS < calls.json > answers.json

Makes the calls one after the other, each a list of metadata pairs, and writes what came of each: code and message.
"""

import json
import sys

import grpc


def identity(data):
    return data


def main(address):
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", identity, identity)
        for metadata in json.load(sys.stdin):
            try:
                check(b"", metadata=[tuple(pair) for pair in metadata], timeout=30)
                answer = {"code": 0, "message": ""}
            except grpc.RpcError as error:
                answer = {"code": error.code().value[0], "message": error.details()}
            print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
