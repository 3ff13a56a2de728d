# For `pip install .`, which must work without any earlier setup. Libraries that are not installed
# are unpacked from Debian's packages into build/ (scripts/fetch-debian), where the later
# find_package calls find them. On other systems than Debian, or offline, the libraries stay
# missing, and the error lists the packages to install.
option(MEROPE_FETCH "Unpack Debian's packages of libraries that are not installed into build/" ON)

# scikit-build-core sets the folder of the interpreter's headers, whether or not the folder exists.
set(python_headers ${Python_INCLUDE_DIR})
string(REGEX REPLACE ".*/" "" python "${python_headers}") # python3.11
set(own build/deps-${python})
set(merope_fetched ${PROJECT_SOURCE_DIR}/build/deps ${PROJECT_SOURCE_DIR}/${own})
list(TRANSFORM merope_fetched APPEND /usr OUTPUT_VARIABLE prefixes)
list(PREPEND CMAKE_PREFIX_PATH ${prefixes})

# Sets `missing` to the Debian packages of the libraries that are not found.
macro(merope_find)
  find_package(hwy 1.2 QUIET)
  find_package(fmt QUIET)
  find_package(nlohmann_json 3.11 QUIET)
  find_package(Oniguruma QUIET)
  find_package(OpenSSL QUIET COMPONENTS Crypto)
  foreach(root "" ${merope_fetched})
    if(EXISTS "${root}${python_headers}/Python.h")
      set(Python_INCLUDE_DIR ${root}${python_headers} CACHE PATH "" FORCE)
    endif()
  endforeach()
  set(missing "")
  if(NOT hwy_FOUND)
    list(APPEND missing libhwy-dev)
  endif()
  if(NOT fmt_FOUND)
    list(APPEND missing libfmt-dev)
  endif()
  if(NOT nlohmann_json_FOUND)
    list(APPEND missing nlohmann-json3-dev)
  endif()
  if(NOT Oniguruma_FOUND)
    list(APPEND missing libonig-dev)
  endif()
  if(NOT OPENSSL_FOUND)
    list(APPEND missing libssl-dev)
  endif()
  if(python_headers AND NOT EXISTS "${Python_INCLUDE_DIR}/Python.h")
    list(APPEND missing lib${python}-dev)
  endif()
endmacro()

find_program(APT_GET apt-get)
merope_find()
if(missing AND MEROPE_FETCH AND APT_GET)
  message(STATUS "Not installed: ${missing}; unpacking them into build/")
  list(REMOVE_ITEM missing libhwy-dev)
  if(NOT hwy_FOUND)
    file(STRINGS scripts/versions.sh suite REGEX "^HIGHWAY_SUITE=")
    string(REGEX REPLACE ".*=" "" suite ${suite})
    execute_process(COMMAND scripts/fetch-debian --suite ${suite} build/deps libhwy-dev
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
  if(missing)
    execute_process(COMMAND scripts/fetch-debian ${own} ${missing} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
  merope_find()
endif()
if(missing)
  list(JOIN missing " " missing)
  message(FATAL_ERROR "expected these libraries, by Debian's names, with Highway (libhwy-dev) 1.2 or newer: ${missing}; "
    "found none. Install them, or set CMAKE_PREFIX_PATH to where they are.")
endif()

if(OPENSSL_INCLUDE_DIR MATCHES "/${own}/") # its headers include others from the architecture's folder
  target_include_directories(OpenSSL::Crypto SYSTEM INTERFACE ${OPENSSL_INCLUDE_DIR}/${CMAKE_LIBRARY_ARCHITECTURE})
endif()
