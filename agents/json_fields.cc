#include "agents/json_fields.h"

#include "absl/strings/numbers.h"

namespace midwatch {

using nlohmann::json;

const json& Member(const json& object, const char* name) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  auto it = object.find(name);
  return it == object.end() ? kNull : *it;
}

std::string StringMember(const json& object, const char* name) {
  const json& value = Member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<int64_t> IntMember(const json& object, const char* name) {
  const json& value = Member(object, name);
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<int64_t>();
}

std::optional<absl::Time> TimeMember(const json& object, const char* name) {
  absl::Time time;
  std::string text = StringMember(object, name);
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return std::nullopt;
  }
  return time;
}

std::string ModelOf(const json& agent) {
  const json& model = Member(agent, "model");
  return model.is_string() ? model.get<std::string>()
                           : StringMember(model, "id");
}

std::string ModelOfDefinition(const std::string& definition_json) {
  return ModelOf(json::parse(definition_json, nullptr, false));
}

std::optional<int64_t> ListCostOf(const json& usage) {
  return UsdMicrosOf(Member(usage, "list_cost"));
}

std::optional<int64_t> UsdMicrosOf(const json& cost) {
  constexpr int64_t kMicrosPerCent = 10'000;
  constexpr int64_t kCentsMax = 1'000'000'000'000;
  int64_t cents = 0;
  if (StringMember(cost, "currency") != "USD" ||
      !absl::SimpleAtoi(StringMember(cost, "amount"), &cents) || cents < 0 ||
      cents > kCentsMax) {
    return std::nullopt;
  }
  return cents * kMicrosPerCent;
}

}  // namespace midwatch
