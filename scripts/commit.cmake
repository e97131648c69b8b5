# Writes FILE, a header with the commit that SOURCE is at, if that has changed: of a source archive, nothing.
execute_process(COMMAND git -c safe.directory=* describe --always --dirty --abbrev=12 --exclude=*
                WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
set(text "#define PIXELDP_COMMIT \"${commit}\"\n")
if(EXISTS ${FILE})
  file(READ ${FILE} old)
endif()
if(NOT text STREQUAL "${old}")
  file(WRITE ${FILE} "${text}")
endif()
