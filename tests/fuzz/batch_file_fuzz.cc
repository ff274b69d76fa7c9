// A batch file, in YAML or in JSONL, is refused with places a person can find,
// or the scheduler takes what it became; and it becomes the same each time.

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "cli/batch_file.h"
#include "cli/utf8.h"
#include "scheduler/from_proto.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

// A folder with an input to name, which is a table too; removed at exit.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "fuzz-XXXXXX";
    Require(mkdtemp(name.data()) != nullptr, "a folder for temporary files");
    path_ = name;
    Write("input.txt", "id,city\n1,Graz\n2,\"Wien, 1\"\n");
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string Write(const std::string& name, absl::string_view content) {
    const std::filesystem::path path = path_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::filesystem::path path_;
};

// Whether the file could lead out of its folder: what is there is no part of
// the input, and may be large.
bool MayLeadOutside(absl::string_view text) {
  for (absl::string_view way : {"..", " /", "\"/", "'/", "\n/", "[/", "\\"}) {
    if (absl::StrContains(text, way)) return true;
  }
  return false;
}

void RequireUsefulComplaints(const absl::Status& status) {
  RequireInvalidArgument(status, 1 << 20);
  const std::string text(status.message());
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  Require(lines.size() <= 21, "at most 20 complaints, and the count of others");
  for (const std::string& line : lines) {
    Require(absl::StrContains(line, "batch.yaml:") ||
                absl::StrContains(line, "batch.jsonl:") ||
                absl::StrContains(line, "input.txt:"),
            "each complaint says where");
    Require(cli::Printable(line) == line, "complaints can be printed");
  }
}

void RequireTaken(cli::BatchFile file) {
  // What an agent's definition holds is the scheduler's to judge.
  if (file.open.spec().agent().has_definition_json()) {
    file.open.mutable_spec()->mutable_agent()->set_agent_id("agent");
  }
  absl::StatusOr<OpenBatch> open = FromProto("fuzz", file.open);
  if (!open.ok())
    std::fprintf(stderr, "%s\n", open.status().ToString().c_str());
  Require(open.ok(), "the scheduler takes the batch");
  if (file.stream != nullptr) {
    absl::StatusOr<std::vector<v1::TaskLine>> tasks =
        file.stream->Read(0, kChunkLinesMax, SIZE_MAX);
    Require(tasks.ok(), "what was checked can be read");
    file.lines = *std::move(tasks);
  }
  v1::TaskChunk chunk;
  for (v1::TaskLine& line : file.lines) {
    if (chunk.lines_size() == kChunkLinesMax) break;
    *chunk.add_lines() = std::move(line);
  }
  absl::StatusOr<AddTasks> tasks = FromProto("fuzz", chunk, open->spec);
  if (!tasks.ok()) {
    std::fprintf(stderr, "%s\n", tasks.status().ToString().c_str());
  }
  Require(tasks.ok(), "the scheduler takes the tasks");
}

void Check(absl::string_view text, const char* name) {
  static Folder& folder = *new Folder;
  static const int at_exit = std::atexit([] { delete &folder; });
  (void)at_exit;
  if (MayLeadOutside(text)) return;
  const std::string path = folder.Write(name, text);
  absl::StatusOr<cli::BatchFile> file = cli::LoadBatchFile(path, {});
  if (!file.ok()) return RequireUsefulComplaints(file.status());
  absl::StatusOr<cli::BatchFile> again = cli::LoadBatchFile(path, {});
  Require(
      again.ok() && again->open.content_sha256() == file->open.content_sha256(),
      "a file becomes the same each time");
  for (const v1::TaskLine& line : file->lines) {
    for (const v1::Input& input : line.inputs()) {
      Require(file->input_paths.count(input.sha256()) == 1,
              "every input's bytes are to be found");
    }
  }
  RequireTaken(*std::move(file));
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  for (const char* name : {"batch.yaml", "batch.jsonl"}) {
    midwatch::Check(midwatch::AsText(bytes, size), name);
  }
  return 0;
}
