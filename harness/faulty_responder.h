// Stands between a handler and its client, and breaks what faults.h says.
#ifndef MIDWATCH_HARNESS_FAULTY_RESPONDER_H_
#define MIDWATCH_HARNESS_FAULTY_RESPONDER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "harness/core.h"
#include "harness/faults.h"
#include "net/http_server.h"

namespace midwatch::harness {

// For the request that is the `number`th; adds `headers` to whatever is
// answered. `inner` must outlive it.
class FaultyResponder final : public ServerResponder {
 public:
  FaultyResponder(std::shared_ptr<Core> core, const Clock& clock,
                  ServerResponder& inner, std::string path, uint64_t number,
                  RequestFaults faults, HttpHeaders headers);
  ~FaultyResponder() override;

  Async<absl::Status> Send(int status, HttpHeaders headers,
                           std::string body) override;
  Async<absl::Status> SendFile(int status, HttpHeaders headers,
                               std::string path) override;
  Async<absl::Status> StartStream(int status, HttpHeaders headers) override;
  Async<absl::Status> Write(std::string bytes) override;
  void Abort() override { inner_.Abort(); }

 private:
  bool Loses();
  HttpHeaders WithMore(HttpHeaders headers) const;
  std::string WithoutNewSessions(std::string body);

  std::shared_ptr<Core> core_;
  const Clock& clock_;
  ServerResponder& inner_;
  const std::string path_;
  const uint64_t number_;
  const RequestFaults faults_;
  const HttpHeaders more_;
  uint64_t frames_ = 0;
  Executor::TimerId cut_ = 0;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_FAULTY_RESPONDER_H_
