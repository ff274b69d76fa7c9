// What is more than a message: files, and backups, of SchedulerConnection.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"
#include "worker/artifact_transfer.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kBackupTimeout = absl::Hours(24);

}  // namespace

absl::StatusOr<v1::Backup> SchedulerConnection::CreateBackup(
    const std::string& path) {
  v1::CreateBackupRequest request;
  request.set_path(path);
  v1::CreateBackupResponse response;
  grpc::ClientContext context;
  SetTimeout(context, kBackupTimeout);
  RETURN_IF_ERROR(AnswerFromGrpc(
      admin_->CreateBackup(&context, request, &response), "CreateBackup"));
  return response.backup();
}

absl::Status SchedulerConnection::UploadMissing(
    const std::map<std::string, std::string>& paths_by_sha256,
    absl::FunctionRef<bool()> stop) {
  std::vector<std::string> names;
  for (const auto& entry : paths_by_sha256) names.push_back(entry.first);
  ASSIGN_OR_RETURN(std::vector<std::string> missing,
                   FindMissingArtifacts(*artifacts_, calls_, names));
  for (const std::string& name : missing) {
    if (stop()) return absl::CancelledError("interrupted");
    auto path = paths_by_sha256.find(name);
    if (path == paths_by_sha256.end()) continue;
    ASSIGN_OR_RETURN(ArtifactRef sent,
                     UploadArtifact(*artifacts_, calls_, path->second));
    FaultPoint("client.input.after");
    if (sent.sha256 != name) {
      return absl::AbortedError(
          absl::StrCat(path->second,
                       " changed while it was submitted; start "
                       "again"));
    }
  }
  return absl::OkStatus();
}

absl::Status SchedulerConnection::Download(const std::string& sha256,
                                           const std::string& path) {
  return DownloadArtifact(*artifacts_, calls_, sha256, path);
}

}  // namespace midwatch::cli
