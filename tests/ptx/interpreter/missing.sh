#!/bin/sh
# missing.sh HEADER: a weak function for each of the library's that the header declares, which aborts with its name.
echo '#include <stdio.h>
#include <stdlib.h>'
grep -oE '(CUDARTAPI|CUBLASWINAPI) +cu[A-Za-z0-9_]+ *\(' "$1" | grep -oE 'cu(da|blas)[A-Za-z0-9_]+' | sort -u |
  sed 's/.*/extern "C" __attribute__((weak)) int &() { fputs("ptxrun: & is not supported\\n", stderr); abort(); }/'
