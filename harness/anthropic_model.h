// The models of a server of the Messages API, each by its own name.
#ifndef MIDWATCH_HARNESS_ANTHROPIC_MODEL_H_
#define MIDWATCH_HARNESS_ANTHROPIC_MODEL_H_

#include "base/clock.h"
#include "base/executor.h"
#include "harness/messages_answer.h"
#include "harness/messages_options.h"
#include "harness/model.h"
#include "net/http.h"

namespace midwatch::harness {

// One call of Next is one request, streamed; it does not retry. Thinking is not
// asked for.
class AnthropicModel final : public Model {
 public:
  // All references must outlive the model and its calls.
  AnthropicModel(Executor& executor, HttpTransport& transport,
                 const Clock& clock, MessagesOptions options)
      : executor_(executor),
        transport_(transport),
        clock_(clock),
        options_(std::move(options)) {}

  Async<ModelStep> Next(ModelRequest request, ModelCall& call) override;

 private:
  // One answer, to its end or to its failure.
  Async<MessagesAnswer> Ask(std::string model, std::string body,
                            ModelCall& call);
  Async<void> ReadAnswer(std::string model, HttpStream& stream,
                         MessagesAnswer& answer, ModelCall& call);

  Executor& executor_;
  HttpTransport& transport_;
  const Clock& clock_;
  const MessagesOptions options_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_ANTHROPIC_MODEL_H_
