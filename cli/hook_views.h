// Hooks as people and scripts see them.
#ifndef MIDWATCH_CLI_HOOK_VIEWS_H_
#define MIDWATCH_CLI_HOOK_VIEWS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// "on_finish to https://...: delivered".
std::string HookLine(const v1::HookDelivery& hook);

// Of the first hook of the batch that is due; "" where none is.
std::string DueHookLine(const v1::Batch& batch);

// What its forecast crosses; "" where that is nothing.
std::string RiskLine(const v1::Batch& batch);
// null where it is at none.
nlohmann::ordered_json RiskToJson(const v1::Batch& batch);

nlohmann::ordered_json HooksToJson(const v1::Batch& batch);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_HOOK_VIEWS_H_
