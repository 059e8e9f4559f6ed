/* XMP packet of a finished film. Text only; media puts it into the file. */
#include "pipeline/provenance.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define DIGITAL_SOURCE "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

static char *append(char *text, char *more)
{
    char *out = text && more ? pz_asprintf("%s%s", text, more) : NULL;
    pz_free(text);
    pz_free(more);
    return out;
}

char *pz_provenance_xmp(const struct pz_edited_range *ranges, int n, const char *engine,
                        const char *source_sha256, bool consent)
{
    char *x = pz_asprintf("<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                          "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"personalize %s\">\n"
                          " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
                          "  <rdf:Description rdf:about=\"\"\n"
                          "    xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"\n"
                          "    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"\n"
                          "    xmlns:pz=\"urn:personalize:provenance:1\"\n"
                          "    Iptc4xmpExt:DigitalSourceType=\"" DIGITAL_SOURCE "\"\n"
                          "    xmp:CreatorTool=\"personalize %s\"\n"
                          "    pz:LipSyncModel=\"%s\"\n"
                          "    pz:SourceSHA256=\"%s\"\n"
                          "    pz:ConsentRecord=\"%s\">\n"
                          "   <pz:EditedRanges>\n    <rdf:Seq>\n",
                          PZ_VERSION, PZ_VERSION, engine, source_sha256, consent ? "carried" : "none");
    for (int i = 0; i < n; i++)
        x = append(
            x, pz_asprintf(
                   "     <rdf:li rdf:parseType=\"Resource\"><pz:start_s>%.6f</pz:start_s>"
                   "<pz:end_s>%.6f</pz:end_s><pz:sound>%s</pz:sound><pz:picture>%s</pz:picture></rdf:li>\n",
                   ranges[i].start_s, ranges[i].end_s, ranges[i].sound ? "true" : "false",
                   ranges[i].picture ? "true" : "false"));
    return append(
        x,
        pz_strdup("    </rdf:Seq>\n   </pz:EditedRanges>\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
                  "<?xpacket end=\"r\"?>"));
}
