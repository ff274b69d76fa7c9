// Requests from anybody become writes within their bounds, or an
// InvalidArgument that names the field. The first byte of an input says which
// request the rest is, upper case for JSON: s(ubmit), o(pen), c(hunk),
// w(orker).

#include <google/protobuf/util/json_util.h>

#include <cctype>
#include <string>

#include "cli/utf8.h"
#include "scheduler/from_proto.h"
#include "scheduler/spec_check.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

constexpr char kRequestId[] = "fuzz";
constexpr size_t kMessageBytesMax = 4000;

void CheckSpec(const v1::TaskSpec& spec) {
  Require(spec.prompt().size() <= kPromptBytesMax,
          "a prompt within its bounds");
  Require(spec.max_cost_usd_micros() >= 10'000 &&
              spec.max_cost_usd_micros() <= 1'000'000'000'000,
          "a cost within its bounds");
  Require(spec.agent().ref_case() != v1::AgentRef::REF_NOT_SET, "an agent");
  for (const auto& timeout : {spec.timeouts().start(), spec.timeouts().idle(),
                              spec.timeouts().total()}) {
    std::string json;
    Require(google::protobuf::util::MessageToJsonString(timeout, &json).ok(),
            "a timeout that can be written as JSON");
  }
}

void CheckTask(const NewTask& task) {
  Require(!task.line.name().empty() && task.line.name().size() <= 200,
          "a name within its bounds");
  Require(task.priority >= 0 && task.priority <= 9,
          "a priority within its bounds");
  Require(task.concurrency_key.size() <= 200,
          "a concurrency key within its bounds");
  for (const v1::Input& input : task.line.inputs()) {
    Require(input.mount()[0] != '/', "a mount below its folder");
  }
}

void Check(const v1::SubmitTaskRequest& request) {
  absl::StatusOr<SubmitTask> write = FromProto(request);
  if (!write.ok())
    return RequireInvalidArgument(write.status(), kMessageBytesMax);
  Require(!write->tenant.empty() && !write->queue.empty() &&
              !write->account.empty(),
          "names are filled in");
  Require(!write->spec.prompt().empty() || !write->task.line.prompt().empty(),
          "a prompt");
  CheckSpec(write->spec);
  CheckTask(write->task);
}

void Check(const v1::OpenBatch& open) {
  absl::StatusOr<OpenBatch> write = FromProto(kRequestId, open);
  if (!write.ok())
    return RequireInvalidArgument(write.status(), kMessageBytesMax);
  CheckSpec(write->spec);
  v1::OpenBatch with_defaults = open;
  *with_defaults.mutable_spec() = write->spec;
  absl::StatusOr<OpenBatch> again = FromProto(kRequestId, with_defaults);
  Require(again.ok() && again->spec.SerializeAsString() ==
                            write->spec.SerializeAsString(),
          "a spec with its defaults is taken as it is");
}

void Check(const v1::TaskChunk& chunk) {
  v1::TaskSpec spec;
  spec.set_prompt("{{a}} and {{b}}");
  absl::StatusOr<AddTasks> write = FromProto(kRequestId, chunk, spec);
  if (!write.ok())
    return RequireInvalidArgument(write.status(), kMessageBytesMax);
  Require(write->tasks.size() == static_cast<size_t>(chunk.lines_size()),
          "a task for each line");
  for (const NewTask& task : write->tasks) CheckTask(task);
  write = FromProto(kRequestId, chunk, v1::TaskSpec());
  if (!write.ok()) return;
  for (const NewTask& task : write->tasks) {
    Require(task.own_spec && !task.own_spec->prompt().empty(), "a prompt");
  }
}

void Check(const v1::RegisterWorkerRequest& request) {
  absl::StatusOr<RegisterWorker> write = FromProto(request);
  if (!write.ok())
    return RequireInvalidArgument(write.status(), kMessageBytesMax);
  Require(write->description.size() <= 200, "a description within its bounds");
  Require(cli::FindInvalidUtf8(write->description) == absl::string_view::npos,
          "a description of whole characters");
}

template <typename Request>
void Read(absl::string_view bytes, bool is_json) {
  Request request;
  const google::protobuf::StringPiece piece(bytes.data(), bytes.size());
  const bool read =
      is_json
          ? google::protobuf::util::JsonStringToMessage(piece, &request).ok()
          : request.ParseFromArray(bytes.data(),
                                   static_cast<int>(bytes.size()));
  if (read) Check(request);
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace midwatch;
  if (size == 0) return 0;
  // It logs each string that is not UTF-8.
  google::protobuf::LogSilencer silence;
  const absl::string_view rest = AsText(bytes, size).substr(1);
  const bool is_json = std::isupper(bytes[0]);
  switch (std::tolower(bytes[0])) {
    case 's':
      Read<v1::SubmitTaskRequest>(rest, is_json);
      break;
    case 'o':
      Read<v1::OpenBatch>(rest, is_json);
      break;
    case 'c':
      Read<v1::TaskChunk>(rest, is_json);
      break;
    case 'w':
      Read<v1::RegisterWorkerRequest>(rest, is_json);
      break;
    default:
      break;
  }
  return 0;
}
