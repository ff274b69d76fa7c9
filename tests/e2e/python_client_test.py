"""Any gRPC client can use Midwatch: here Debian's python3-grpcio, with nothing
but the .proto files, against real processes."""

import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

MIDWATCH = os.path.abspath(sys.argv.pop(1))
PROTOS = os.path.abspath(sys.argv.pop(1))

PROMPT = "```sh\necho {{word}} > /mnt/session/outputs/out.txt; echo {{word}}\n```"
AGENT = ('{"name":"python","model":"runbook",'
         '"tools":[{"type":"agent_toolset_20260401"}]}')


def compile_protos(folder):
    """Makes midwatch.v1's messages importable."""
    files = sorted(str(p) for p in pathlib.Path(PROTOS).glob("midwatch/v1/*.proto"))
    subprocess.run(["protoc", f"-I{PROTOS}", f"--python_out={folder}", *files],
                   check=True)
    sys.path.insert(0, folder)


def google_rpc(name):
    """A message of google.rpc, read from the vendored .proto files."""
    folder = pathlib.Path(PROTOS).parent / "third_party/googleapis"
    with tempfile.NamedTemporaryFile(prefix="midwatch-") as out:
        subprocess.run(["protoc", f"-I{folder}", "--include_imports",
                        f"--descriptor_set_out={out.name}",
                        "google/rpc/status.proto",
                        "google/rpc/error_details.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName(f"google.rpc.{name}"))


class PythonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        cls.addClassCleanup(folder.cleanup)
        compile_protos(folder.name)
        names = ("task", "task_service", "batch_service")
        cls.task, cls.tasks, cls.batches = (
            importlib.import_module(f"midwatch.v1.{name}_pb2") for name in names)
        line = cls.start("scheduler", "--state-dir", f"{folder.name}/state",
                         "--listen", "127.0.0.1:0")
        server = line.split()[-1]
        line = cls.start("harness", "--port", "0",
                         "--data-dir", f"{folder.name}/harness")
        url = line.split("serving ")[1].split()[0]
        cls.start("worker", "--server", server, "--base-url", url,
                  "--api-key-file", f"{folder.name}/harness/api-key",
                  "--cache-dir", f"{folder.name}/cache")
        cls.channel = grpc.insecure_channel(server)
        cls.addClassCleanup(cls.channel.close)

    @classmethod
    def start(cls, *arguments):
        process = subprocess.Popen([MIDWATCH, *arguments], text=True,
                                   stdout=subprocess.PIPE)
        cls.addClassCleanup(process.stdout.close)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        return process.stdout.readline()

    def method(self, module, service, name):
        """A method, by what the descriptors say of it."""
        method = (module.DESCRIPTOR.services_by_name[service]
                  .methods_by_name[name])
        request, response = (
            getattr(module, kind.name)
            for kind in (method.input_type, method.output_type))
        # Which kind of call it is stands in the .proto, and not in protobuf
        # 3.21's descriptors.
        kind = {"SubmitBatch": self.channel.stream_stream,
                "WatchBatch": self.channel.unary_stream}.get(
                    name, self.channel.unary_unary)
        return kind(f"/midwatch.v1.{service}/{name}",
                    request_serializer=request.SerializeToString,
                    response_deserializer=response.FromString)

    def spec(self):
        spec = self.task.TaskSpec(prompt=PROMPT, max_cost_usd_micros=100000)
        spec.agent.definition_json = AGENT
        spec.expect.files.append("out.txt")
        return spec

    def test_health(self):
        """The standard health service, of which Debian ships no .proto: an
        empty request asks for the server, and field 1 = 1 is SERVING."""
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=None,
            response_deserializer=None)
        self.assertEqual(check(b"", timeout=10), b"\x08\x01")

    def test_one_task(self):
        submit = self.method(self.tasks, "TaskService", "SubmitTask")
        request = self.tasks.SubmitTaskRequest(
            request_id="python-1", spec=self.spec(),
            line=self.task.TaskLine(name="one", parameters={"word": "hello"}))
        task_id = submit(request, timeout=10).task_id
        self.assertEqual(len(task_id), 26)
        # The same again is the same task; anything else under its name is not.
        self.assertEqual(submit(request, timeout=10).task_id, task_id)
        request.line.parameters["word"] = "other"
        with self.assertRaises(grpc.RpcError) as raised:
            submit(request, timeout=10)
        self.assertEqual(raised.exception.code(),
                         grpc.StatusCode.ALREADY_EXISTS)
        with self.assertRaises(grpc.RpcError) as raised:
            submit(self.tasks.SubmitTaskRequest(request_id="x"), timeout=10)
        self.assertEqual(raised.exception.code(),
                         grpc.StatusCode.INVALID_ARGUMENT)

        get = self.method(self.tasks, "TaskService", "GetTask")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            task = get(self.tasks.GetTaskRequest(task_id=task_id),
                       timeout=10).task
            if task.HasField("ended_at"):
                break
            time.sleep(0.02)
        self.assertEqual(task.state, self.task.TASK_STATE_SUCCEEDED)
        self.assertIn("hello", task.final_message)
        self.assertEqual([output.path for output in task.outputs], ["out.txt"])

    def test_batch(self):
        count = 25
        open_batch = self.batches.OpenBatch(name="python", spec=self.spec())
        request_id = "python-batch"

        def steps():
            message = self.batches.SubmitBatchRequest
            yield message(request_id=request_id, open=open_batch)
            for first in range(0, count, 10):
                lines = [self.task.TaskLine(name=f"task-{i}",
                                            parameters={"word": str(i)})
                         for i in range(first, min(first + 10, count))]
                yield message(request_id=request_id,
                              chunk=self.batches.TaskChunk(first_line=first,
                                                           lines=lines))
            yield message(request_id=request_id,
                          seal=self.batches.SealBatch(lines=count))

        submit = self.method(self.batches, "BatchService", "SubmitBatch")
        acks = list(submit(steps(), timeout=60))
        self.assertEqual([ack.accepted_lines for ack in acks],
                         [0, 10, 20, 25, 25])
        batch_id = acks[0].batch_id
        # All of it again: no line is taken twice.
        again = list(submit(steps(), timeout=60))
        self.assertEqual({ack.batch_id for ack in again}, {batch_id})
        self.assertEqual(again[-1].accepted_lines, count)

        watch = self.method(self.batches, "BatchService", "WatchBatch")
        succeeded = set()
        for message in watch(
                self.batches.WatchBatchRequest(batch_id=batch_id,
                                               resume_token=1), timeout=120):
            if message.change.state == self.task.TASK_STATE_SUCCEEDED:
                self.assertNotIn(message.change.name, succeeded)
                succeeded.add(message.change.name)
        self.assertEqual(succeeded, {f"task-{i}" for i in range(count)})

    def details_of(self, error, name):
        """The messages of google.rpc called `name` that an error carries."""
        trailers = dict(error.trailing_metadata())
        status = google_rpc("Status").FromString(
            trailers["grpc-status-details-bin"])
        self.assertEqual(status.message, error.details())
        return [google_rpc(name).FromString(detail.value)
                for detail in status.details
                if detail.type_url == f"type.googleapis.com/google.rpc.{name}"]

    def test_an_error_names_every_field_that_is_wrong(self):
        request = self.tasks.SubmitTaskRequest(spec=self.spec())
        request.spec.max_cost_usd_micros = -1
        request.spec.labels["no key"] = "x"
        with self.assertRaises(grpc.RpcError) as caught:
            self.method(self.tasks, "TaskService", "SubmitTask")(request)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.INVALID_ARGUMENT)
        bad, = self.details_of(caught.exception, "BadRequest")
        self.assertEqual(
            [v.field for v in bad.field_violations],
            ["request_id", "spec.max_cost_usd_micros", "spec.labels",
             "line.name", "line.parameters"])
        self.assertIn("10000 (one cent)", bad.field_violations[1].description)

    def test_single_fields_are_named_too(self):
        request = self.tasks.GetTaskRequest(task_id="nonsense")
        with self.assertRaises(grpc.RpcError) as caught:
            self.method(self.tasks, "TaskService", "GetTask")(request)
        bad, = self.details_of(caught.exception, "BadRequest")
        self.assertEqual([v.field for v in bad.field_violations], ["task_id"])

    def test_what_is_not_there_is_named(self):
        submit = self.method(self.tasks, "TaskService", "SubmitTask")
        request = self.tasks.SubmitTaskRequest(request_id="named",
                                               spec=self.spec())
        request.line.name = "named"
        request.line.parameters["word"] = "x"
        known = submit(request).task_id
        # The same row, made at another time.
        other = ("0" if known[5] != "0" else "1").join([known[:5], known[6:]])
        with self.assertRaises(grpc.RpcError) as caught:
            self.method(self.tasks, "TaskService", "GetTask")(
                self.tasks.GetTaskRequest(task_id=other))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        resource, = self.details_of(caught.exception, "ResourceInfo")
        self.assertEqual((resource.resource_type, resource.resource_name),
                         ("midwatch.v1.Task", other))

    def test_a_client_can_ask_what_is_served(self):
        # grpc.reflection.v1alpha: field 7 lists services, field 4 asks for the
        # file of a symbol.
        ask = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        symbol = b"midwatch.v1.TaskService"
        services, file = ask(iter([b"\x3a\x00",
                                   bytes([0x22, len(symbol)]) + symbol]))
        for name in (b"midwatch.v1.TaskService", b"midwatch.v1.BatchService",
                     b"midwatch.v1.WorkerService",
                     b"midwatch.v1.ArtifactService",
                     b"grpc.health.v1.Health"):
            self.assertIn(name, services)
        self.assertIn(b"midwatch/v1/task_service.proto", file)
        self.assertIn(b"ListTaskEvents", file)


if __name__ == "__main__":
    unittest.main()
