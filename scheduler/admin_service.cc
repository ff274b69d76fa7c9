#include "midwatch/v1/admin_service.grpc.pb.h"
#include "scheduler/backup.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(Backups& backups) : backups_(backups) {}

  grpc::ServerUnaryReactor* CreateBackup(
      grpc::CallbackServerContext* context,
      const v1::CreateBackupRequest* request,
      v1::CreateBackupResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    backups_.Create(
        request->path(), [context] { return context->IsCancelled(); },
        [response, reactor](absl::StatusOr<v1::Backup> backup) {
          grpc::Status status = ToGrpc(backup.status());
          if (backup.ok()) *response->mutable_backup() = *std::move(backup);
          reactor->Finish(status);
        });
    return reactor;
  }

 private:
  Backups& backups_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(Backups& backups) {
  return std::make_unique<AdminServiceImpl>(backups);
}

}  // namespace midwatch
