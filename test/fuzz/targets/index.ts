/** Everything that is fuzzed. */
import type { FuzzTarget } from "../target.ts";
import { apiRequests, rawRequests } from "./api.ts";
import { tarArchives } from "./archives.ts";
import { dockerfiles } from "./dockerfiles.ts";
import { imageConfigurations, registryDocuments, seccompProfiles } from "./documents.ts";
import { inputLayers, layers } from "./layers.ts";
import { challenges, eventStreams, imageReferences, patterns, placesOfRegistries, positions } from "./names.ts";
import { configurations, jobRequests } from "./requests.ts";
import { itemLists, testReports } from "./suites.ts";

/** Those that need neither root nor a server. */
export const pureTargets: readonly FuzzTarget[] = [
  jobRequests,
  configurations,
  imageReferences,
  placesOfRegistries,
  challenges,
  patterns,
  positions,
  eventStreams,
  dockerfiles,
  registryDocuments,
  imageConfigurations,
  tarArchives,
  testReports,
  itemLists,
];

/** Those that write files as root, load libseccomp, or talk to an API. */
export const systemTargets: readonly FuzzTarget[] = [seccompProfiles, layers, inputLayers, apiRequests, rawRequests];
