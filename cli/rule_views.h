// A batch's canary and stop rule, as people and as programs read them. Pure.
#ifndef MIDWATCH_CLI_RULE_VIEWS_H_
#define MIDWATCH_CLI_RULE_VIEWS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

using Json = nlohmann::ordered_json;

// What was asked for: "the first 5 tasks, of which 0.8 must succeed, for at
// most $3.00"; "once 20 have failed".
std::string RuleWords(const v1::Canary& canary);
std::string RuleWords(const v1::StopRule& stop);

// How far it has come, in one line; the batch has one.
std::string CanaryLine(const v1::Batch& batch);
std::string StopLine(const v1::StopState& stop);
// That the other tasks wait for the canary; empty where they do not.
std::string CanaryHoldLine(const v1::Batch& batch);

// Nothing goes on before somebody answers, since all that is left of the canary
// waits for that.
bool OnlyCanaryWaits(const v1::Batch& batch);

Json ToJson(const v1::Canary& canary);
Json ToJson(const v1::StopRule& stop);
Json ToJson(const v1::CanaryState& canary);
Json ToJson(const v1::StopState& stop);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_RULE_VIEWS_H_
