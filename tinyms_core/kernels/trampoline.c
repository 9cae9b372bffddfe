/* One function for the custom operator of every optimizer. It writes down of what type each tensor is, and calls
   whoever has been registered; the last input says for whom. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As the table of storage types in Python counts them. */
enum { OTHER, FLOAT32, FLOAT16, BFLOAT16, FLOAT64 };

typedef int (*callee)(int64_t who, int64_t count, void **addresses, const int8_t *kinds);

static callee registered;

void tinyms_register(callee function) { registered = function; }

static int8_t kind_of(const char *dtype) {
  if (!strcmp(dtype, "float32")) return FLOAT32;
  if (!strcmp(dtype, "float16")) return FLOAT16;
  if (!strcmp(dtype, "bfloat16")) return BFLOAT16;
  if (!strcmp(dtype, "float64")) return FLOAT64;
  return OTHER;
}

/* Inputs first, then the one output, which only carries the order of operators. */
int tinyms_step(int count, void **addresses, int *ranks, int64_t **shapes, const char **dtypes, void *stream,
                void *extra) {
  (void)ranks, (void)shapes, (void)stream, (void)extra;
  int8_t *kinds = registered && count >= 2 ? malloc((size_t)count) : NULL;
  if (!kinds) return 1;
  for (int i = 0; i < count; i++) kinds[i] = kind_of(dtypes[i]);
  int status = registered(*(const int64_t *)addresses[count - 2], count - 2, addresses, kinds);
  free(kinds);
  return status;
}
