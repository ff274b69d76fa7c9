#include "harness/session_outputs.h"

#include <filesystem>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "harness/disk.h"

namespace midwatch::harness {
namespace {

constexpr int kOutputsMax = 1000;

struct Collected {
  absl::StatusOr<std::vector<OutputFile>> files;
  int skipped = 0;
};

}  // namespace

Async<absl::StatusOr<SessionOutputs>> StoreOutputs(Core& core,
                                                   std::string session_id) {
  CO_ASSIGN_OR_RETURN(std::vector<File> files,
                      core.files.OfSession(session_id));
  std::map<std::string, File> registered;
  std::map<std::string, std::string> hashes;
  for (const File& file : files) {
    if (!file.downloadable) continue;  // a mounted upload
    registered[file.filename] = file;
    hashes[file.filename] = file.sha256;
  }
  absl::AnyInvocable<Collected()> collect =
      [dir = OutputsDir(core.dir.session(session_id)),
       hashes = std::move(hashes),
       prefix = core.files.PathOf(core.db->NewId("file_")),
       bytes_max = core.options.file_bytes_max] {
        Collected result;
        result.files = CollectOutputs(dir, hashes, prefix,
                                      {kOutputsMax, bytes_max}, result.skipped);
        return result;
      };
  Collected collected = co_await RunBlocking<Collected>(
      core.pool, core.executor, std::move(collect));
  CO_RETURN_IF_ERROR(collected.files.status());
  if (collected.skipped > 0) {
    LogWarning("output files passed over: too many, too large or unreadable",
               {{"session", session_id}, {"files", collected.skipped}});
  }
  SessionOutputs outputs;
  for (const OutputFile& output : *collected.files) {
    File file;
    file.id = std::filesystem::path(output.path).filename().string();
    file.filename = ValidUtf8(output.name);
    file.mime_type = MimeTypeOf(file.filename);
    file.size_bytes = output.stored.size_bytes;
    file.sha256 = output.stored.sha256;
    file.downloadable = true;
    file.session_id = session_id;
    file.created_at = core.db->Stamp();
    auto it = registered.find(file.filename);
    if (it != registered.end()) outputs.superseded.push_back(it->second);
    outputs.added.push_back(std::move(file));
  }
  co_return outputs;
}

absl::Status RegisterOutputs(Core& core, const SessionOutputs& outputs) {
  for (const File& file : outputs.superseded) {
    RETURN_IF_ERROR(core.files.Delete(file.id));
  }
  for (const File& file : outputs.added) {
    RETURN_IF_ERROR(core.files.Insert(file));
  }
  return absl::OkStatus();
}

void DropSuperseded(Core& core, const SessionOutputs& outputs) {
  std::vector<std::string> paths;
  for (const File& file : outputs.superseded) {
    paths.push_back(core.files.PathOf(file.id));
  }
  core.RemoveLater(std::move(paths));
}

}  // namespace midwatch::harness
