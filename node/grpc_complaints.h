// What gRPC says of a server that does not start.
#ifndef MIDWATCH_NODE_GRPC_COMPLAINTS_H_
#define MIDWATCH_NODE_GRPC_COMPLAINTS_H_

#include <string>

namespace midwatch {

// gRPC tells no caller why a server did not start: it writes it to standard
// error, in its own words. While one of these lives, what it writes is held
// back, so that its caller may say it in one sentence; what was not dropped by
// then is written after all. Nothing is held back where GRPC_VERBOSITY is set:
// somebody wants to see it all. One at a time in a process.
class GrpcComplaints {
 public:
  GrpcComplaints();
  ~GrpcComplaints();
  GrpcComplaints(const GrpcComplaints&) = delete;

  // The system's words in the last complaint ("Address already in use"), or
  // "".
  std::string Cause() const;
  // What was held back is told otherwise.
  void Drop();
};

}  // namespace midwatch

#endif  // MIDWATCH_NODE_GRPC_COMPLAINTS_H_
