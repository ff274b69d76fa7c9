#include "google/rpc/status.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/rich_error.h"

namespace midwatch {

grpc::Status ToGrpc(absl::Status status) {
  if (status.ok()) return grpc::Status::OK;
  status = WithDetails(std::move(status));
  std::string message(status.message());
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(status.code()));
  rich.set_message(message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    google::protobuf::Any& detail = *rich.add_details();
    detail.set_type_url(std::string(url));
    detail.set_value(std::string(bytes));
  });
  std::string details = rich.details().empty() ? "" : rich.SerializeAsString();
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details);
}

}  // namespace midwatch
