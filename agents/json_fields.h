// Reading what a service wrote, without trust: a field that is missing or of a
// wrong type reads as absent, and nothing throws.
#ifndef MIDWATCH_AGENTS_JSON_FIELDS_H_
#define MIDWATCH_AGENTS_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace midwatch {

// The member `name`, or a null value.
const nlohmann::json& Member(const nlohmann::json& object, const char* name);

// "" where it is not a string.
std::string StringMember(const nlohmann::json& object, const char* name);

// Nothing where it is not an integer.
std::optional<int64_t> IntMember(const nlohmann::json& object,
                                 const char* name);

// An RFC 3339 string.
std::optional<absl::Time> TimeMember(const nlohmann::json& object,
                                     const char* name);

// The `model` of an agent: an object with an id, or the id itself. "" where
// there is none.
std::string ModelOf(const nlohmann::json& agent);

// The same of an agent's definition, as text.
std::string ModelOfDefinition(const std::string& definition_json);

// The `list_cost` of a usage object, in millionths of a US dollar. The service
// writes whole cents as a string.
std::optional<int64_t> ListCostOf(const nlohmann::json& usage);
// The same of an amount of money, whatever it is called.
std::optional<int64_t> UsdMicrosOf(const nlohmann::json& amount);

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_JSON_FIELDS_H_
