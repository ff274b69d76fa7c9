// RETURN_IF_ERROR and ASSIGN_OR_RETURN, which Debian's abseil lacks, and their
// CO_ forms for coroutines (where `return` is `co_return`).
#ifndef MIDWATCH_BASE_STATUS_MACROS_H_
#define MIDWATCH_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MIDWATCH_CONCAT_INNER_(a, b) a##b
#define MIDWATCH_CONCAT_(a, b) MIDWATCH_CONCAT_INNER_(a, b)

#define RETURN_IF_ERROR(expr)               \
  do {                                      \
    absl::Status midwatch_status_ = (expr); \
    if (!midwatch_status_.ok()) {           \
      return midwatch_status_;              \
    }                                       \
  } while (false)

#define CO_RETURN_IF_ERROR(expr)            \
  do {                                      \
    absl::Status midwatch_status_ = (expr); \
    if (!midwatch_status_.ok()) {           \
      co_return midwatch_status_;           \
    }                                       \
  } while (false)

#define MIDWATCH_ASSIGN_OR_(ret, tmp, lhs, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) {                               \
    ret tmp.status();                            \
  }                                              \
  lhs = *std::move(tmp)

#define ASSIGN_OR_RETURN(lhs, expr)                                          \
  MIDWATCH_ASSIGN_OR_(return, MIDWATCH_CONCAT_(midwatch_or_, __LINE__), lhs, \
                            expr)

#define CO_ASSIGN_OR_RETURN(lhs, expr)                                     \
  MIDWATCH_ASSIGN_OR_(co_return, MIDWATCH_CONCAT_(midwatch_or_, __LINE__), \
                      lhs, expr)

#endif  // MIDWATCH_BASE_STATUS_MACROS_H_
