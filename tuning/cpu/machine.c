/* Preloaded, it lets a program believe that it may run on the CPUs of CPUS (0-15,32), so that `central-inventory plan` can be
 * asked for machines that are not at hand. tuning/cpu/plan builds and uses it. Only for commands that pin nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

int sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set) {
  (void)process;
  const char *text = getenv("CPUS");
  if (text == NULL) {
    errno = EINVAL;
    return -1;
  }
  memset(set, 0, bytes);
  while (*text != '\0') {
    char *end;
    long first = strtol(text, &end, 10);
    long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
    for (long cpu = first; cpu <= last; cpu++) {
      CPU_SET_S((size_t)cpu, bytes, set);
    }
    text = *end == ',' ? end + 1 : end + strlen(end);
  }
  return 0;
}
